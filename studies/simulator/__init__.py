"""How the simulator presets were fitted, and how well they fit."""
