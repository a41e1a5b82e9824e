"""Settings for all tests: two logical devices, to mirror models on."""

import tfdistill  # noqa: F401, I001, settles TensorFlow's log level first

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
