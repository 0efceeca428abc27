"""``pith.conv2d``: windows as an index stream, stored filters, channels dropped at run time."""
