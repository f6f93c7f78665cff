"""The facts of a host by subject: each module turns files and answers of the kernel into named facts."""
