"""Why a run answers as it does, and whether the explanation says anything."""
