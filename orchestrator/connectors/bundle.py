"""The agent's source -> one reproducible bundle that travels over a channel, and the few lines that receive it.

Nothing is installed on a host: ``python3 -I -S -c BOOTSTRAP`` reads the bundle from descriptor 0, exactly as many bytes as it was told and
unbuffered (or it would swallow the frames behind it), checks its SHA-256, and runs it. The bundle is JSON, module by module; the order is
that of the names, so equal sources give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources

_PACKAGE = "orchestrator.agent"

_RECEIVE = """\
import os,sys,hashlib,json
from importlib.machinery import ModuleSpec
def take(n):
    b=b""
    while len(b)<n:
        c=os.read(0,n-len(b))
        if not c: sys.exit("the bundle ended early")
        b+=c
    return b
d=take(%d)
if hashlib.sha256(d).hexdigest()!="%s": sys.exit("the bundle was damaged on its way")
s=json.loads(d)
class Finder:
    def find_spec(self,name,path=None,target=None):
        if name in s: return ModuleSpec(name,self,is_package=name in %r)
    def create_module(self,spec): return None
    def exec_module(self,module): exec(compile(s[module.__name__],module.__name__,"exec"),module.__dict__)
sys.meta_path.insert(0,Finder())
from orchestrator.agent.service import main
main()
"""


@cache
def bundle() -> bytes:
    """The agent's modules as one JSON object ``{name: source}``."""
    sources = {"orchestrator": ""}
    for entry in resources.files(_PACKAGE).iterdir():
        if entry.name.endswith(".py"):
            stem = entry.name.removesuffix(".py")
            name = _PACKAGE if stem == "__init__" else f"{_PACKAGE}.{stem}"
            sources[name] = entry.read_text(encoding="utf-8")
    return json.dumps(sources, sort_keys=True, separators=(",", ":")).encode()


def bootstrap(data: bytes) -> str:
    """The program text, for ``python3 -I -S -c``, that receives exactly ``data`` and becomes the agent."""
    return _RECEIVE % (len(data), hashlib.sha256(data).hexdigest(), ["orchestrator", _PACKAGE])
