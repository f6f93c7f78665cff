"""Advice as files for an operator to run: a sysctl.d file, a shell script with dry run and undo, an Ansible playbook. Pure.

Only warnings and worse whose change is not withheld are in force in them; what is withheld, merely preferable, or somebody
else's to do stands there as a comment.
"""

import shlex
from collections.abc import Iterator
from textwrap import dedent

import msgspec

from agent.advice.advise import Advice
from agent.advice.finding import Command, Finding, Measurement, Severity, Sysctl, change_text

SYSCTL_NAME = "90-lightfloor.conf"
SCRIPT_NAME = "lightfloor-tune.sh"
PLAYBOOK_NAME = "lightfloor-tune.yml"


def files_to_apply(advice: Advice) -> dict[str, str]:
    """The three files by name. Running them twice changes nothing more; nothing here runs them."""
    return {
        SYSCTL_NAME: sysctl_file(advice),
        SCRIPT_NAME: shell_script(advice),
        PLAYBOOK_NAME: playbook(advice),
    }


def in_force(finding: Finding) -> bool:
    """Whether its change goes into files as a change."""
    return finding.severity is not Severity.INFO and not finding.withheld


def sysctl_file(advice: Advice) -> str:
    """For /etc/sysctl.d. What is not in force stands as a comment with the reason."""
    lines = [f"# Advised by Lightfloor for {advice.node}. Apply: sysctl -p {SYSCTL_NAME}"]
    for finding in advice.findings:
        steps = [step for step in finding.steps if isinstance(step, Sysctl)]
        if not steps:
            continue
        lines += ["", f"# {finding.id}: {_one_line(finding.words['en'].title)}"]
        lines += [f"# {_one_line(note.en)}" for note in finding.notes]
        mark = "" if in_force(finding) else "#"
        for step in steps:
            lines.append(f"# was: {'not known' if step.was is None else _one_line(step.was)}")
            lines.append(f"{mark}{step.key} = {step.value}")
    return "\n".join(lines) + "\n"


def _sysctls(advice: Advice) -> list[tuple[Finding, Sysctl]]:
    return [(f, s) for f in advice.findings if in_force(f) for s in f.steps if isinstance(s, Sysctl)]


def _commands(advice: Advice) -> list[tuple[Finding, Command]]:
    return [(f, s) for f in advice.findings if in_force(f) for s in f.steps if isinstance(s, Command)]


def _by_hand(advice: Advice) -> Iterator[str]:
    """Comment lines for everything that no file does."""
    for finding in advice.findings:
        rest = tuple(
            step
            for step in finding.steps
            if not in_force(finding) or not isinstance(step, Sysctl | Command | Measurement)
        )
        if not rest:
            continue
        yield f"# by hand, {finding.id} ({finding.severity}): {_one_line(finding.words['en'].title)}"
        yield from (f"#   {_one_line(note.en)}" for note in finding.notes)
        yield from (f"#   {line}" for line in change_text(rest, "en").splitlines())


_SCRIPT_HEAD = """\
#!/bin/sh
# Advised by Lightfloor for {node}.
#
#   sh {name} [--dry-run] apply    make the changes, remember what was before
#   sh {name} [--dry-run] undo     take back what apply changed
#   sh {name} status               which changes are in force
#
# Needs root. Applying twice changes nothing more.
set -eu

state=${{LIGHTFLOOR_TUNE_STATE:-/var/lib/lightfloor-tune}}
sysctl_d=${{LIGHTFLOOR_TUNE_SYSCTL_D:-/etc/sysctl.d}}
dry=no
failed=0
"""

_SCRIPT_FUNCTIONS = r"""
current() { sysctl -n "$1" 2>/dev/null | tr -s '\t' ' '; }

run() {
    if [ "$dry" = yes ]; then
        printf 'would run: %s\n' "$*"
    else
        "$@"
    fi
}

# set_parameter KEY VALUE: remembers the value from before the first change
set_parameter() {
    before=$(current "$1")
    if [ "$before" = "$2" ]; then
        printf 'already: %s = %s\n' "$1" "$2"
        return
    fi
    if [ "$dry" = no ] && ! grep -qs "^$1=" "$state/parameters"; then
        printf '%s=%s\n' "$1" "$before" >> "$state/parameters"
    fi
    run sysctl -w "$1=$2" || failed=1
}

# do_step NUMBER
do_step() {
    if check_step "$1" >/dev/null 2>&1; then
        printf 'already: step %s\n' "$1"
        return
    fi
    if [ "$dry" = yes ]; then
        printf 'would run: step %s\n' "$1"
        return
    fi
    if run_step "$1"; then
        printf '%s\n' "$1" >> "$state/steps"
    else
        failed=1
    fi
}

# undo_step NUMBER: only what apply did
undo_step() {
    grep -qsx "$1" "$state/steps" || return 0
    if [ "$dry" = yes ]; then
        printf 'would undo: step %s\n' "$1"
    else
        reverse_step "$1" || failed=1
    fi
}

apply() {
    if [ "$dry" = no ]; then
        mkdir -p "$state" "$sysctl_d"
        write_parameters > "$sysctl_d/%FILE%"
    else
        printf 'would write %s:\n' "$sysctl_d/%FILE%"
        write_parameters
    fi
    apply_all
}

undo() {
    undo_all
    if [ -f "$state/parameters" ]; then
        while IFS='=' read -r key value; do
            run sysctl -w "$key=$value" || failed=1
        done < "$state/parameters"
    fi
    run rm -f "$sysctl_d/%FILE%" "$state/parameters" "$state/steps"
}

status() {
    write_parameters | while IFS='=' read -r key value; do
        case $key in '#'* | '') continue ;; esac
        key=${key% }
        value=${value# }
        printf '%s = %s (advised %s)\n' "$key" "$(current "$key")" "$value"
    done
}

while [ $# -gt 1 ] && [ "$1" = --dry-run ]; do
    dry=yes
    shift
done
case ${1-} in
    apply) apply ;;
    undo) undo ;;
    status) status ;;
    *)
        sed -n 's/^#   //p' "$0" | sed -n 1,3p >&2
        exit 2
        ;;
esac
exit "$failed"
"""


def shell_script(advice: Advice) -> str:
    """POSIX sh: apply, undo, status, --dry-run. It remembers the values from before its first run."""
    sysctls, commands = _sysctls(advice), _commands(advice)
    lines = [_SCRIPT_HEAD.format(node=advice.node, name=SCRIPT_NAME), *_by_hand(advice), ""]
    lines += ["write_parameters() {", "    cat <<'END'"]
    lines += [f"{step.key} = {step.value}" for _, step in sysctls]
    lines += ["END", "}", ""]
    lines += _cases("check_step", [(finding, step.check or "false") for finding, step in commands])
    lines += _cases("run_step", [(finding, step.run) for finding, step in commands])
    lines += _cases("reverse_step", [(finding, step.undo or "true") for finding, step in commands])
    lines += ["apply_all() {"]
    lines += [f"    set_parameter {step.key} {shlex.quote(step.value)}" for _, step in sysctls]
    lines += [f"    do_step {number}" for number in range(1, len(commands) + 1)]
    lines += ["    true", "}", "", "undo_all() {"]
    lines += [f"    undo_step {number}" for number in range(len(commands), 0, -1)]
    lines += ["    true", "}"]
    return "\n".join(lines) + _SCRIPT_FUNCTIONS.replace("%FILE%", SYSCTL_NAME)


def _cases(name: str, commands: list[tuple[Finding, str]]) -> list[str]:
    """A function that runs the command of the step whose number it is given."""
    lines = [f"{name}() {{", "    case $1 in"]
    for number, (finding, command) in enumerate(commands, 1):
        lines.append(f"        {number}) {command} ;; # {finding.id}")
    return [*lines, "        *) return 1 ;;", "    esac", "}", ""]


_PLAYBOOK_HEAD = """\
# Advised by Lightfloor for {node}.
#   ansible-playbook -i INVENTORY --check --diff {name}
#   ansible-playbook -i INVENTORY {name}
#   ansible-playbook -i INVENTORY -e lightfloor_undo=true {name}
---
- name: {title}
  hosts: {node_quoted}
  become: true
  gather_facts: false
  vars:
    lightfloor_undo: false
  tasks:
"""


def playbook(advice: Advice) -> str:
    """An Ansible playbook of built-in modules only; a second run reports no change, --check makes none."""
    sysctls, commands = _sysctls(advice), _commands(advice)
    head = _PLAYBOOK_HEAD.format(
        node=advice.node,
        name=PLAYBOOK_NAME,
        title=_quoted(f"Changes advised for {advice.node}"),
        node_quoted=_quoted(advice.node),
    )
    comments = "".join(f"{line}\n" for line in _by_hand(advice))
    tasks = [
        *_sysctl_tasks(advice, sysctls),
        *(_command_tasks(f, s, n) for n, (f, s) in enumerate(commands, 1)),
    ]
    if not tasks:
        tasks = ["    - name: Nothing to change\n      ansible.builtin.meta: noop\n"]
    return comments + head + "\n".join(tasks)


def _sysctl_tasks(advice: Advice, sysctls: list[tuple[Finding, Sysctl]]) -> list[str]:
    if not sysctls:
        return []
    path = _quoted(f"/etc/sysctl.d/{SYSCTL_NAME}")
    known = [step for _, step in sysctls if step.was is not None]
    undo = " && ".join(f"sysctl -w {step.key}={shlex.quote(step.was or '')}" for step in known) or "true"
    return [
        dedent(f"""\
            - name: Kernel parameters
              ansible.builtin.copy:
                dest: {path}
                mode: "0644"
                content: {_quoted(sysctl_file(advice))}
              register: lightfloor_parameters
              when: not lightfloor_undo | bool
            - name: Kernel parameters in force
              ansible.builtin.command: sysctl -p /etc/sysctl.d/{SYSCTL_NAME}
              when: lightfloor_parameters is changed and not ansible_check_mode
            - name: Kernel parameters file removed
              ansible.builtin.file:
                path: {path}
                state: absent
              register: lightfloor_removed
              when: lightfloor_undo | bool
            - name: Kernel parameters as before
              ansible.builtin.shell: {_quoted(undo)}
              when: lightfloor_removed is changed and not ansible_check_mode
            """).replace("\n", "\n    ").rstrip() .join(("    ", "\n"))
    ]  # fmt: skip


def _command_tasks(finding: Finding, step: Command, number: int) -> str:
    name = f"{finding.id} ({number})"
    return dedent(f"""\
        - name: {_quoted(f"{name}: is it so already?")}
          ansible.builtin.shell: {_quoted(step.check or "false")}
          register: lightfloor_step_{number}
          changed_when: false
          failed_when: false
          check_mode: false
        - name: {_quoted(name)}
          ansible.builtin.shell: {_quoted(step.run)}
          when: lightfloor_step_{number}.rc != 0 and not lightfloor_undo | bool
        - name: {_quoted(f"{name} undone")}
          ansible.builtin.shell: {_quoted(step.undo or "true")}
          when: lightfloor_step_{number}.rc == 0 and lightfloor_undo | bool
        """).replace("\n", "\n    ").rstrip().join(("    ", "\n"))  # fmt: skip


def _quoted(text: str) -> str:
    """A YAML scalar: every JSON string is one. Ansible's templates find nothing in it to fill in."""
    return msgspec.json.encode(text.replace("{{", "{ {").replace("{%", "{ %")).decode()


def _one_line(text: str) -> str:
    return " ".join(text.split())
