"""The simulator, fakes and fault kit, for this project's tests and for its users'."""
