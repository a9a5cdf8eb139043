"""Does stepwise routing carry over from task to task?"""
