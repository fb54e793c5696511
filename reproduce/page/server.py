"""The server: the page's files, and what its scripts ask for, on 127.0.0.1 alone.

It decodes nothing and computes nothing itself: pictures are the desk's, a process that is begun anew when it dies, and
runs are commands (`runs.py`).
"""

import asyncio
import hashlib
import json
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import InputError, expect
from ..solving.memory import available_memory
from ..solving.plan import seconds_per_evaluation
from . import desk, selections
from .forms import LARGEST_UPLOAD, forms
from .orders import changed, order, pasted
from .runs import CURRENT, ENVIRONMENT, PROGRAM, Runs
from .selections import mask_of_selection
from .store import NotThere, Store, read_json, write_json

STATIC = Path(__file__).parent / "static"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif")
SHOWN_AS_THEY_ARE = (".png", ".jpg", ".jpeg", ".webp")  # by every browser
LARGEST_JSON = 2_000_000  # bytes: a long stroke has some thousand points
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
MEASURE = "from reproduce.network.backend import matrix_product_speed as speed; print(speed())"


class Guard:
    """Refuses what does not come from the page itself: another host's name (DNS rebinding), another page's requests."""

    def __init__(self, app: ASGIApp, port: int):
        self.app, self.hosts = app, {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Request(scope).headers
        host, origin, site = headers.get("host"), headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        is_followed_link = scope["path"] == "/" and scope["method"] == "GET"
        is_own = host in self.hosts and origin in (None, f"http://{host}")
        if not is_own or not (site in ("same-origin", "none") or is_followed_link):
            refusal = JSONResponse({"error": "This page takes requests from itself alone."}, 403)
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Page:
    """The answers. What they know stands in the store; here is only who computes."""

    def __init__(self, store: Store, runs: Runs):
        self.store, self.runs = store, runs
        self.pool: ProcessPoolExecutor | None = None
        self.speed: asyncio.Task | None = None
        self.selecting = asyncio.Lock()  # two tabs may show the same selection

    async def ask(self, function: Callable, *arguments: Any) -> Any:
        """What a function of the desk returns."""
        self.pool = self.pool or ProcessPoolExecutor(1, get_context("spawn"), desk.end_with_the_server)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)
        except BrokenProcessPool:
            self.pool = None
            raise InputError("The picture was too much for the memory, it seems: what looked at it has ended. "
                             "Try a smaller one") from None  # fmt: skip
        except MemoryError:
            raise InputError("The picture is too much for the memory: try a smaller one") from None

    def close(self) -> None:
        self.runs.close()
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    async def forms(self, request: Request) -> Response:
        return JSONResponse(forms())

    async def take_picture(self, request: Request) -> Response:
        """The body is the file; it is kept byte for byte."""
        name = request.query_params.get("name", "picture")[-200:]
        expect(int(request.headers.get("content-length") or 0) <= LARGEST_UPLOAD, *_too_large(name))
        suffix = Path(name).suffix.lower()
        folder = self.store.new("picture")
        path = folder / f"picture{suffix if suffix in SUFFIXES else '.img'}"
        try:
            digest = await _receive(request, path, name)
            said = await self.ask(desk.take, path, name)
            entry = {"id": folder.name, "name": name, "file": path.name, "sha256": digest, **said}
            write_json(folder / "picture.json", entry)
        except BaseException:  # also a browser that goes away half-way
            for left in folder.iterdir():
                left.unlink()
            folder.rmdir()
            raise
        return JSONResponse(entry)

    async def picture(self, request: Request) -> Response:
        return JSONResponse(read_json(self._folder(request, "picture") / "picture.json"))

    async def shown_picture(self, request: Request) -> Response:
        return _lasting(self._folder(request, "picture") / "shown.jpg")

    async def begin_selection(self, request: Request) -> Response:
        asked = await _json(request)
        return JSONResponse(await selections.begin(self.store, self.ask, asked.get("picture")))

    async def selection(self, request: Request) -> Response:
        return JSONResponse(selections.look(self.store, request.path_params["name"]))

    async def change_selection(self, request: Request) -> Response:
        operation = await _json(request)
        async with self.selecting:
            state = await selections.change(self.store, self.ask, request.path_params["name"], operation)
        return JSONResponse(state)

    async def selection_file(self, request: Request) -> Response:
        """A step's mask, or how it is shown."""
        step, what = request.path_params["step"], request.path_params["what"]
        file = {"mask.png": f"{step}.png", "shown.png": f"{step}_shown.png"}.get(what, "")
        return _lasting(self._folder(request, "selection") / file)

    async def edges(self, request: Request) -> Response:
        """A line along edges."""
        asked = await _json(request)
        path = self.store.picture(request.path_params["name"])
        return JSONResponse({"points": await self.ask(desk.edges_between, path, asked["points"])})

    async def cut_out(self, request: Request) -> Response:
        """What is selected, to be dragged; the file is `cut.png` of the step."""
        folder = self._folder(request, "selection")
        state, mask = read_json(folder / "selection.json"), mask_of_selection(self.store, folder.name)
        cut = mask.with_name(f"{mask.stem}_cut.png")
        box = await self.ask(desk.cut_out, self.store.picture(state["picture"]), mask, cut)
        return JSONResponse(box | {"url": f"/api/selections/{folder.name}/cut.png?step={mask.stem}"})

    async def cut_file(self, request: Request) -> Response:
        folder = self._folder(request, "selection")
        return _lasting(folder / f"{int(request.query_params['step'])}_cut.png")

    async def compose(self, request: Request) -> Response:
        """The composite as it will be computed, reduced."""
        given = (await _json(request))["inputs"]
        background, picture, mask, place = pasted(given, self.store)
        shown = mask.with_name("composite.jpg")
        await self.ask(desk.compose, background, picture, mask, place, shown)
        return Response(shown.read_bytes(), media_type="image/jpeg")

    async def plan(self, request: Request) -> Response:
        """Memory and time, the latter once this machine's speed has been measured."""
        asked = await _json(request)
        placed = order(asked, self.store)  # says what is missing
        inputs = asked["inputs"]
        main = next(inputs[name] for name in ("background", "image", "content") if name in inputs)
        of: dict[str, Any] = {"image": self.store.picture(main["picture"])}
        if "paste" in inputs:
            of["pasted"] = pasted(inputs, self.store)
        elif inputs.get("mask"):
            of["mask"] = mask_of_selection(self.store, inputs["mask"]["selection"])
        elif inputs.get("corners"):
            of["corners"] = inputs["corners"]
        expected = await self.ask(desk.cost, placed.application, placed.preset, changed(asked), of)
        speed, seconds = await self._known_speed(), None
        if speed:
            seconds = sum(count * seconds_per_evaluation(flops, speed) for count, flops in expected["stages"])
        return JSONResponse({
            "memory": expected["memory"], "working": expected["working"], "seconds": seconds,
            "available": available_memory(),
        })  # fmt: skip

    async def _known_speed(self) -> float | None:
        """This machine's speed if it has been measured: that loads TensorFlow, in a process of its own."""
        if self.speed is None or (self.speed.done() and self.speed.exception()):
            self.speed = asyncio.create_task(_measured_speed())
        return self.speed.result() if self.speed.done() and not self.speed.exception() else None

    async def all_runs(self, request: Request) -> Response:
        return JSONResponse(self.runs.all())

    async def add_run(self, request: Request) -> Response:
        asked = await _json(request)
        run = self.runs.add(order(asked, self.store), str(asked.get("name", ""))[:200])
        await self.ask(desk.forget)
        return JSONResponse(run)

    async def run(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(self.runs.look(name) | self.runs.story(name))

    async def stop_run(self, request: Request) -> Response:
        return JSONResponse(self.runs.stop(request.path_params["name"]))

    async def run_again(self, request: Request) -> Response:
        preset = (await _json(request)).get("preset")
        return JSONResponse(self.runs.again(request.path_params["name"], None if preset is None else str(preset)))

    async def remove_run(self, request: Request) -> Response:
        self.runs.remove(request.path_params["name"])
        return JSONResponse({})

    async def run_file(self, request: Request) -> Response:
        """A file of a run: as it is; "shown" as a picture that every browser knows; or "small"."""
        folder, how = self._folder(request, "run"), request.query_params.get("as", "")
        run = self.runs.look(folder.name)
        file = request.path_params["file"]
        if file not in (CURRENT, run["before"], *run["files"].values(), *run["inputs"]):
            raise NotThere(f"The run has no such file: {file}")
        path = folder / file
        if how == "small" or (how == "shown" and path.suffix not in SHOWN_AS_THEY_ARE):
            shown = folder / f".{path.stem}_{how}.{'jpg' if how == 'small' else 'png'}"
            if not shown.exists():
                await self.ask(desk.show_small if how == "small" else desk.show_whole, path, shown)
            return _lasting(shown)
        if not path.is_file():
            raise NotThere(f"The run has no such file (yet): {file}")
        name = f"{run['id']}_{file}" if how == "download" else None
        return FileResponse(path, headers={"cache-control": "no-cache"}, filename=name)

    def _folder(self, request: Request, kind: str) -> Path:
        return self.store.folder(kind, request.path_params["name"])

    def routes(self) -> list[Route | Mount]:
        def get(path: str, answer: Callable) -> Route:
            return Route(path, answer, methods=["GET"])

        def post(path: str, answer: Callable) -> Route:
            return Route(path, answer, methods=["POST"])

        return [
            get("/", lambda request: FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})),
            get("/api/forms", self.forms),
            post("/api/pictures", self.take_picture),
            get("/api/pictures/{name}", self.picture),
            get("/api/pictures/{name}/shown.jpg", self.shown_picture),
            post("/api/pictures/{name}/edges", self.edges),
            post("/api/selections", self.begin_selection),
            get("/api/selections/{name}", self.selection),
            post("/api/selections/{name}", self.change_selection),
            post("/api/selections/{name}/cut", self.cut_out),
            get("/api/selections/{name}/cut.png", self.cut_file),
            get("/api/selections/{name}/{step:int}/{what}", self.selection_file),
            post("/api/composites", self.compose),
            post("/api/plan", self.plan),
            get("/api/runs", self.all_runs),
            post("/api/runs", self.add_run),
            get("/api/runs/{name}", self.run),
            post("/api/runs/{name}/stop", self.stop_run),
            post("/api/runs/{name}/again", self.run_again),
            post("/api/runs/{name}/remove", self.remove_run),
            get("/api/runs/{name}/{file}", self.run_file),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]


def application(folder: Path, port: int, program: tuple[str, ...] = PROGRAM) -> Starlette:
    """The page as an ASGI application that serves 127.0.0.1:`port`.

    Args:
        folder: where runs are kept.
        port: that it is served at: requests for another are refused.
        program: what is run with a command's arguments.
    """
    store = Store(folder)
    page = Page(store, Runs(store, program))

    @asynccontextmanager
    async def alive(app: Starlette) -> AsyncIterator[None]:
        store.forget_old()
        page.runs.start()
        try:
            yield
        finally:
            await asyncio.to_thread(page.close)

    errors: Any = {
        NotThere: lambda request, error: _error(str(error), 404),
        InputError: lambda request, error: _error(str(error), 400),
        ClientDisconnect: lambda request, error: _error("The upload was broken off", 400),
        OSError: lambda request, error: _error(f"It could not be written: {error.strerror or error}", 507),
        KeyError: lambda request, error: _error(f"The request lacks {error}", 400),
        TypeError: lambda request, error: _error(f"The request is not what it must be: {error}", 400),
        ValueError: lambda request, error: _error(f"The request is not what it must be: {error}", 400),
        HTTPException: lambda request, error: _error(error.detail, error.status_code),
    }
    return Starlette(routes=page.routes(), middleware=[Middleware(Guard, port=port)], exception_handlers=errors,
                     lifespan=alive)  # fmt: skip


def serve(folder: Path, port: int, browser: bool) -> int:
    """Serve the page until Ctrl-C; the exit code.

    Raises:
        InputError: the port is taken, or none; or another server has the folder.
    """
    expect(0 < port < 65536, "a port from 1 to 65535", port)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"Expected a port that is free: is the page open already? Try another --port. "
                         f"Received: {port} ({error.strerror})") from None  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with listening, Store(folder).alone():
        print(f"The page is at {address}; runs are kept in {folder.resolve()}. Ctrl-C ends it.", file=sys.stderr)
        if browser:
            listening.listen()  # so that the browser waits until there is an answer
            webbrowser.open(address)
        config = uvicorn.Config(application(folder, port), log_level="warning", timeout_graceful_shutdown=2)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    return 0


def _error(message: str, code: int) -> Response:
    return JSONResponse({"error": message}, code)


def _lasting(path: Path) -> Response:
    """A file that never changes under its address."""
    if not path.is_file():
        raise NotThere("There is no such picture (any more)")
    return FileResponse(path, headers={"cache-control": "max-age=86400, immutable"})


def _too_large(name: str) -> tuple[str, str]:
    return f"a file of at most {LARGEST_UPLOAD // 10**6} MB", f"a larger one: {name}"


async def _receive(request: Request, path: Path, name: str) -> str:
    """Write the body of a request to a file; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        async for part in request.stream():
            size += len(part)
            expect(size <= LARGEST_UPLOAD, *_too_large(name))
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


async def _json(request: Request) -> dict[str, Any]:
    """The body of a request.

    Raises:
        InputError: it is no JSON object, or a huge one.
    """
    body = b""
    async for part in request.stream():
        body += part
        expect(len(body) <= LARGEST_JSON, f"at most {LARGEST_JSON} bytes", "more")
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        raise InputError("Expected JSON. Received: something else") from None
    expect(isinstance(asked, dict), "a JSON object", "something else")
    return asked


async def _measured_speed() -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=ENVIRONMENT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return float(said)
