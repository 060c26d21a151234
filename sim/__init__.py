"""The bit-accurate accelerator simulator: integer/ has the bits, machine/ the cycles, bytes and events."""
