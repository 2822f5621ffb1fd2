"""The commands, a file each. A command reads its options, calls the parts, and shows what they give."""
