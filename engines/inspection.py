"""What a bundle is, as far as its files and this machine say."""

from pydantic import BaseModel, ConfigDict

from vexkd.engines.bundle import Bundle
from vexkd.engines.manifest import MANIFEST, Manifest
from vexkd.engines.session import why_not_here


class EngineState(BaseModel):
    """Whether an engine runs on this machine."""

    model_config = ConfigDict(frozen=True)

    target: str
    runs_here: bool
    reason: str
    """Why not, empty if it does."""


class Inspection(BaseModel):
    """A verified bundle on this machine."""

    model_config = ConfigDict(frozen=True)

    path: str
    name: str
    manifest: Manifest
    engines: tuple[EngineState, ...]
    """In the manifest's order."""
    files: dict[str, int]
    """Bytes of every file, the manifest included."""


def inspect_bundle(bundle: Bundle) -> Inspection:
    """What there is to say about a bundle; no TensorRT and no model is loaded."""
    reasons = [(engine.target, why_not_here(bundle, engine)) for engine in bundle.manifest.engines]
    return Inspection(
        path=str(bundle.path),
        name=bundle.name,
        manifest=bundle.manifest,
        engines=tuple(EngineState(target=name, runs_here=not why, reason=why) for name, why in reasons),
        files={name: (bundle.path / name).stat().st_size for name in (MANIFEST, *bundle.manifest.files)},
    )
