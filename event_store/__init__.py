"""What an event is: its columns, its rules, and the behaviors of its actions."""
