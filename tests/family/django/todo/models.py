from bemi import BemiRecordMixin
from django.db import models


class Todo(BemiRecordMixin, models.Model):
    task = models.TextField()

    class Meta:
        db_table = "todo"
