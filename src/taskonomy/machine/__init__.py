"""This machine: processors, devices, pools of processes."""
