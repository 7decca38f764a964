from small_training import data, one_thread, pixels, tiny_config

__all__ = ["data", "one_thread", "pixels", "tiny_config"]
