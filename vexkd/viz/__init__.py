"""Pictures for people: boxes on images and in bird's-eye view, maps, BEV features and masks. Needs no torch."""
