# One command per job; CI calls the same ones.
