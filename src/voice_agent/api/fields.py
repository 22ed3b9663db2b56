"""Errors that name the field of a request that is wrong."""

from voice_agent.errors import InputError


class FieldError(InputError):
    """`param` is the field."""

    code = "invalid_value"

    def __init__(self, what: str, *, param: str, why: str = "", remedy: str = "", code: str | None = None) -> None:
        super().__init__(what, why=why, remedy=remedy, code=code)
        self.param = param

    @classmethod
    def of(cls, error: InputError, param: str) -> "FieldError":
        """`error`, which came of `param`."""
        return cls(error.what, param=param, why=error.why, remedy=error.remedy, code=error.code)
