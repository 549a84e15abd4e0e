"""A todo list on SQLAlchemy, Starlette and bemi-sqlalchemy, as its documentation tells to set it up.

It prints the port that it listens on, and ends with its standard input.
"""

import json
import os
import socket
import sys
import threading

import uvicorn
from alembic.migration import MigrationContext
from alembic.operations import Operations
from bemi import Bemi, BemiFastAPIMiddleware
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

engine = create_engine(os.environ["DATABASE_URL"].replace("postgres", "postgresql+psycopg", 1))


class Base(DeclarativeBase):
    pass


class Todo(Base):
    __tablename__ = "todo"
    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]


def migrate():
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            Bemi.migration_upgrade()


async def create(request):
    with Session(engine) as session:
        todo = Todo(task=(await request.json())["task"])
        session.add(todo)
        session.commit()
        return JSONResponse({"id": todo.id})


async def one(request):
    with Session(engine) as session:
        todo = session.get(Todo, request.path_params["pk"])
        if request.method == "PUT":
            todo.task = (await request.json())["task"]
        else:
            session.delete(todo)
        session.commit()
    return JSONResponse({})


app = Starlette(
    routes=[
        Route("/todos", create, methods=["POST"]),
        Route("/todos/{pk:int}", one, methods=["PUT", "DELETE"]),
    ]
)
app.add_middleware(
    BemiFastAPIMiddleware, set_context=lambda request: json.loads(request.headers["X-Context"])
)


def end_with_standard_input():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "migrate":
        migrate()
    else:
        threading.Thread(target=end_with_standard_input, daemon=True).start()
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
