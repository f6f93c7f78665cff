#!/bin/sh
# Builds lightfloor-agent or lightfloor-collector as a Debian package, its libraries pinned by requirements.lock inside.
# Usage: deb.sh agent|collector [OUT [PYTHON [ARCH]]]    PYTHON: 3.11 (Debian 12), 3.12 (Ubuntu 24.04), 3.13 (Debian 13);
# ARCH: amd64 or arm64, whatever machine builds it; COMPRESSION: xz, or gzip to be quick. Needs dpkg-deb and the project's .venv (make .venv/ready).
set -eu
name=${1:?agent or collector}
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${2:-$root/run/packages}
python=${3:-3.11}
arch=${4:-amd64}
case $name in
agent) extras= ;;
collector) extras='[collector,report]' ;;
*) echo "deb.sh: no package $name; agent or collector" >&2 && exit 2 ;;
esac
case $arch in
amd64) platform=x86_64-manylinux_2_28 ;;
arm64) platform=aarch64-manylinux_2_28 ;;
*) echo "deb.sh: no architecture $arch; amd64 or arm64" >&2 && exit 2 ;;
esac
next=${python%.*}.$((${python#*.} + 1))
package=lightfloor-$name
here=$root/deploy/package/$name
epoch=$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/CHANGELOG.md")
export SOURCE_DATE_EPOCH="$epoch"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
library=$tree/usr/lib/$package
umask 022

cd "$root"
.venv/bin/uv build -q --wheel --no-build-isolation --python .venv/bin/python -o "$work"
wheel=$(ls "$work"/lightfloor-*.whl)
version=$(basename "$wheel" | cut -d- -f2)
.venv/bin/uv pip install -q --target "$library" --python .venv/bin/python --python-version "$python" --python-platform "$platform" \
    --constraints requirements.lock --only-binary :all: "$wheel$extras"
rm -rf "${library:?}/bin" "$library/share" "$library/.lock" "$library"/lightfloor-*.dist-info/direct_url.json
[ "$name" = collector ] || rm -rf "$library/collector"
find "$library" -name __pycache__ -prune -exec rm -rf {} + -o -path '*/tests' -type d -prune -exec rm -rf {} +
find "$library" -type f -exec chmod 644 {} +
find "$library" -name '*.py' -exec sed -i '1{/^#!/d}' {} + # libraries are not run as programs

mkdir -p "$tree/usr/bin" "$tree/usr/lib/systemd/system" "$tree/DEBIAN" "$tree/usr/share/lintian/overrides" \
    "$tree/usr/share/doc/$package/examples"
cat >"$tree/usr/bin/$package" <<EOF
#!/usr/bin/python3 -sP
import sys

sys.path.insert(0, "/usr/lib/$package")
from $name.__main__ import main

sys.exit(main())
EOF
chmod 755 "$tree/usr/bin/$package"
cp "deploy/systemd/$package.service" "$tree/usr/lib/systemd/system/"
[ ! -d "deploy/systemd/$package.service.d" ] || cp "deploy/systemd/$package.service.d"/* "$tree/usr/share/doc/$package/examples/"
cp deploy/"$name".example.toml deploy/web.example.yml "$tree/usr/share/doc/$package/examples/"
[ "$name" = agent ] || cp deploy/fleet.example.toml "$tree/usr/share/doc/$package/examples/"
cp deploy/package/copyright "$tree/usr/share/doc/$package/"
gzip -9n <CHANGELOG.md >"$tree/usr/share/doc/$package/changelog.gz"
printf '%s (%s-1) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- Lightfloor <dev@lightfloor.invalid>  %s\n' "$package" "$version" \
    "$(date -u -R -d "@$epoch")" | gzip -9n >"$tree/usr/share/doc/$package/changelog.Debian.gz"
sed "s/^/$package: /" deploy/package/lintian-overrides >"$tree/usr/share/lintian/overrides/$package"
mkdir -p "$tree/etc/lightfloor"
for script in postinst prerm postrm; do
    install -m 755 "$here/$script" "$tree/DEBIAN/$script"
done
sed -e "s/@VERSION@/$version-1/" -e "s/@ARCH@/$arch/" -e "s/@PYTHON@/$python/" -e "s/@NEXT@/$next/" \
    -e "s/@SIZE@/$(du -sk --apparent-size "$tree" | cut -f1)/" "$here/control" >"$tree/DEBIAN/control"
find "$tree" -newermt "@$epoch" -exec touch -h -d "@$epoch" {} +
mkdir -p "$out"
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$tree" "$out/${package}_${version}-1+py${python}_$arch.deb"
