"""Training stages on lightning: teacher, student, distillation; and the run folders they write."""
