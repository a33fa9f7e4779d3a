"""The demo: a teacher, a student by itself and a distilled student, on real images, compared in one table."""
