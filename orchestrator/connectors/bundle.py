"""The agent's source -> one reproducible bundle that travels over a channel, and the few lines that receive it.

Nothing is installed on a host: ``python3 -I -S -c BOOTSTRAP`` reads the bundle from descriptor 0, exactly as many bytes as it was told and
unbuffered (or it would swallow the frames behind it), checks its SHA-256, and runs it. Its order is that of the modules' names, so equal
sources give equal bytes. The surprising fact: it carries every module twice, as source and as this interpreter's code, because to compile
the source takes a host longer than to start its Python; code is used only where the host's interpreter says that it is of the same kind.
What a running agent does not read is left out of it: docstrings, line numbers, and the import of ``__future__``.
"""

from __future__ import annotations
import __future__

import ast
import hashlib
import marshal
import sys
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER
from types import CodeType

AGENT = "orchestrator.agent.service:main"
GUARDIAN = "orchestrator.agent.guardian:main"
"""The entry for a real host: an agent with a process beside it that undoes when the agent cannot."""

_PACKAGE = "orchestrator.agent"
_MARSHAL = 4
_NAMED = (
    "co_name",
    "co_qualname",
    "co_filename",
    "co_names",
    "co_varnames",
    "co_cellvars",
    "co_freevars",
    "co_consts",
    "co_exceptiontable",
)

# `array` asks for collections.abc, and so for all of collections, which would say itself that it is this module, loaded long ago.
_RECEIVE = """\
import os,sys
if sys.version_info<(3,8): sys.exit("the agent needs Python 3.8 or newer, and this is Python "+sys.version.split()[0])
sys.modules.setdefault("collections.abc",sys.modules["_collections_abc"])
import gc,marshal,zlib
gc.disable()
from _frozen_importlib import ModuleSpec
try: from _sha2 import sha256
except ImportError:
    try: from _sha256 import sha256
    except ImportError: from hashlib import sha256
try: from _frozen_importlib_external import MAGIC_NUMBER as m
except ImportError: m=b""
def take(n):
    b=b""
    while len(b)<n:
        c=os.read(0,n-len(b))
        if not c: sys.exit("the bundle ended early")
        b+=c
    return b
d=take({size})
if sha256(d).hexdigest()!="{digest}": sys.exit("the bundle was damaged on its way")
same=(m.hex(),sys.implementation.cache_tag)==("{magic}","{tag}")
s=marshal.loads(zlib.decompress(d[{text}:] if same else d[:{text}]))
class Finder:
    def find_spec(self,name,path=None,target=None):
        if name in s: return ModuleSpec(name,self,is_package=name+".__init__" in s)
    def create_module(self,spec): return None
    def exec_module(self,module):
        n=module.__name__
        c=s.pop(n)
        exec(c if same else compile(c,n,"exec"),module.__dict__)
sys.meta_path.insert(0,Finder())
from {module} import {function}
gc.enable()
{function}()
"""


class Bundle(bytes):
    """The bytes that travel; the first ``text_bytes`` of them hold the source, the others the code."""

    text_bytes: int


@cache
def bundle() -> Bundle:
    """Two tables of all modules, each marshalled and compressed: ``{name: source}`` and ``{name: code}``."""
    sources = {"orchestrator": b"", "orchestrator.__init__": b""}  # of a package, the second name says that it is one
    for name, is_package, source in _modules(resources.files(_PACKAGE), _PACKAGE):
        sources[name] = source
        if is_package:
            sources[name + ".__init__"] = b""
    text = _packed({name: sources[name] for name in sorted(sources)})
    made = Bundle(text + _packed({name: _code(name, sources[name]) for name in sorted(sources)}))
    made.text_bytes = len(text)
    return made


def _packed(table: dict[str, bytes] | dict[str, CodeType]) -> bytes:
    """Equal tables give equal bytes.

    What is used once is written otherwise than what is used again, and an interned string otherwise than another; how often a name is used,
    and which single characters (of which there is one each) are interned, depends on the whole process, so both are settled first.
    """
    held = list(_parts(table))
    for part in held:
        if isinstance(part, str) and len(part) == 1:
            sys.intern(part)
    packed = zlib.compress(marshal.dumps(table, _MARSHAL), 9)
    del held
    return packed


def _parts(value: object) -> Iterator[object]:
    """A value, and all that it is made of."""
    yield value
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = (*value, *value.values())
    elif isinstance(value, CodeType):
        inner = [getattr(value, name) for name in _NAMED]
    elif isinstance(value, tuple | frozenset):
        inner = value
    for part in inner:
        yield from _parts(part)


def _modules(folder: Traversable, package: str) -> Iterator[tuple[str, bool, bytes]]:
    for entry in folder.iterdir():
        stem = entry.name.removesuffix(".py")
        if entry.is_dir() and (entry / "__init__.py").is_file():
            yield from _modules(entry, f"{package}.{stem}")
        elif stem != entry.name:
            is_package = stem == "__init__"
            yield package if is_package else f"{package}.{stem}", is_package, entry.read_bytes()


def _code(name: str, source: bytes) -> CodeType:
    tree = ast.parse(source, name)
    tree.body = [line for line in tree.body if not (isinstance(line, ast.ImportFrom) and line.module == "__future__")]
    return _bare(compile(tree, name, "exec", __future__.annotations.compiler_flag, dont_inherit=True, optimize=2))


def _bare(code: CodeType) -> CodeType:
    """The code without its line numbers: half of its size, and an agent tells no traceback."""
    inner = tuple(_bare(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=inner)


def bootstrap(data: Bundle, entry: str = AGENT) -> str:
    """The text, for ``python3 -I -S -c``, that receives exactly ``data`` and becomes the agent; ``entry`` is ``module:function``."""
    module, _colon, function = entry.partition(":")
    kind = {"magic": MAGIC_NUMBER.hex(), "tag": sys.implementation.cache_tag}
    digest = hashlib.sha256(data).hexdigest()
    return _RECEIVE.format(size=len(data), digest=digest, text=data.text_bytes, module=module, function=function, **kind)
