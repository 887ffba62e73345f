"""A new task and some labelled images: which of the tasks that a finished run knows should it start from?"""
