"""A todo list on Django and bemi-django, as its documentation tells to set it up.

It prints the port that it listens on, and ends with its standard input.
"""

import json
import os
import sys
import threading
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

url = urlsplit(os.environ["DATABASE_URL"])
database = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": url.path.lstrip("/"),
    "USER": url.username,
    "PASSWORD": url.password or "",
    "HOST": url.hostname,
    "PORT": url.port,
}
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="of a test",
    INSTALLED_APPS=["todo", "bemi"],
    MIDDLEWARE=["bemi.BemiMiddleware"],
    BEMI_CONTEXT_FUNCTION=f"{__name__}.get_bemi_context",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": database, "bemi": database},
    DATABASE_ROUTERS=["bemi.BemiDatabaseRouter"] if "ROUTED" in os.environ else [],
)


def get_bemi_context(request: HttpRequest) -> dict:
    return json.loads(request.headers["X-Context"])


def create(request):
    from todo.models import Todo

    return JsonResponse({"id": Todo.objects.create(task=json.loads(request.body)["task"]).pk})


def one(request, pk):
    from todo.models import Todo

    if request.method == "PUT":
        todo = Todo.objects.get(pk=pk)
        todo.task = json.loads(request.body)["task"]
        todo.save()
    else:
        Todo.objects.filter(pk=pk).delete()
    return JsonResponse({"id": pk})


def raw(request):
    """SQL of one's own, without parameters: its text goes as it is."""
    with connection.cursor() as cursor:
        cursor.execute(json.loads(request.body)["sql"])
    return JsonResponse({})


def changes(request, pk):
    """What the package's own helpers find of one record."""
    from bemi.models import BemiChange
    from todo.models import Todo

    todo = Todo(pk=pk)
    query = json.loads(request.body)
    record = todo.bemi_changes()
    user = {"user_id": query["user_id"]}
    keys = lambda found: [[change.operation, change.primary_key] for change in found]
    last = record.updated().last()
    return JsonResponse(
        {
            "record": keys(record.asc()),
            "descending": keys(record.desc()),
            "created": keys(record.created()),
            "deleted": keys(record.deleted()),
            "field": keys(todo.bemi_changes(field_name="task").updated()),
            "before": keys(record.before({"task": query["before"]}).updated()),
            "before_not": keys(record.before_not({"task": query["before"]}).updated()),
            "after": keys(record.after({"task": query["after"]})),
            "after_not": keys(record.after_not({"task": query["after"]}).updated()),
            "context": keys(BemiChange.objects.context(user)),
            "context_not": keys(record.context_not(user).asc()),
            "chained": keys(record.before({"task": query["before"]}).after({"task": query["after"]})),
            "diff": last.diff(),
            "at": last.committed_at.isoformat(),
        }
    )


urlpatterns = [
    path("todos", create),
    path("todos/<int:pk>", one),
    path("todos/<int:pk>/changes", changes),
    path("raw", raw),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def end_with_standard_input():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "migrate":
        call_command("migrate", run_syncdb=True, verbosity=0)
    else:
        threading.Thread(target=end_with_standard_input, daemon=True).start()
        server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
        print(server.server_port, flush=True)
        server.serve_forever()
