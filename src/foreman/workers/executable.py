"""A kind that is any program from configuration. (Being written.)"""
