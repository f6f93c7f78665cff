"""How a new server joins the fleet: the line that `enroll` prints, and what that line fetches from here."""
