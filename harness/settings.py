"""What every group of settings of a study file is, and a choice by name."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.paths import setting_type

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Pixel = Annotated[int, Field(ge=0)]  # a value as stored in a file


class Settings(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: Any) -> Any:
        if isinstance(value, bool) and setting_type(cls.model_fields[info.field_name].annotation) in (
            int,
            float,
        ):
            raise ValueError("must be a number")
        return value


class Choice(Settings):
    """A name from a table and its settings; written `name` or `{name: {setting: value}}`."""

    name: str
    settings: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if (
            isinstance(value, dict)
            and set(value) <= {"name", "settings"}
            and isinstance(value.get("name"), str)
        ):
            return value
        if isinstance(value, dict) and len(value) == 1:
            ((name, settings),) = value.items()
            if settings is None or isinstance(settings, dict):
                return {"name": name, "settings": settings or {}}
        raise ValueError("write a name, or one name with its settings: {name: {setting: value}}")
