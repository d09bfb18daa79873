"""What a person may type to name an application, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercel.cli.errors import CommandError, ExitCode
from tercel.cli.target import Target, resolve_target


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("app = None\n")


def test_a_module_with_an_object_is_searched_from_the_working_directory(tmp_path: Path) -> None:
    assert resolve_target("shop.main:app", folder=tmp_path) == Target("shop.main", "app", tmp_path, None, "shop.main:app")


def test_an_object_may_be_inside_another(tmp_path: Path) -> None:
    assert resolve_target("main:site.app", folder=tmp_path).attribute == "site.app"


def test_app_dir_replaces_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert resolve_target("main", folder=tmp_path, app_dir=Path("src")).search_path == tmp_path / "src"


def test_a_missing_app_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--app-dir nowhere is not a folder"):
        resolve_target("main", folder=tmp_path, app_dir=Path("nowhere"))


def test_a_file_is_a_module_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "main.py")
    assert resolve_target("main.py", folder=tmp_path) == Target("main", None, tmp_path, tmp_path / "main.py", "main.py")


def test_a_file_in_a_package_is_imported_from_above_the_outermost_package(tmp_path: Path) -> None:
    write(tmp_path, "src/shop/__init__.py", "src/shop/web/__init__.py", "src/shop/web/main.py")
    target = resolve_target("src/shop/web/main.py:api", folder=tmp_path)
    assert (target.module, target.attribute, target.search_path) == ("shop.web.main", "api", tmp_path / "src")


def test_a_file_in_a_plain_folder_is_imported_from_that_folder(tmp_path: Path) -> None:
    write(tmp_path, "src/main.py")
    target = resolve_target("src/main.py", folder=tmp_path)
    assert (target.module, target.search_path) == ("main", tmp_path / "src")


def test_an_init_file_is_its_package(tmp_path: Path) -> None:
    write(tmp_path, "shop/__init__.py")
    target = resolve_target("shop/__init__.py", folder=tmp_path)
    assert (target.module, target.search_path) == ("shop", tmp_path)


def test_a_package_folder_is_the_package(tmp_path: Path) -> None:
    write(tmp_path, "src/shop/__init__.py")
    assert resolve_target("src/shop/", folder=tmp_path).module == "shop"


def test_a_plain_folder_is_searched_for_the_usual_files(tmp_path: Path) -> None:
    write(tmp_path, "service/app.py")
    assert resolve_target("service", folder=tmp_path).file == tmp_path / "service" / "app.py"


def test_a_folder_without_any_of_the_usual_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "service/other.py")
    with pytest.raises(CommandError, match=r"folder with none of main\.py, app\.py"):
        resolve_target("service", folder=tmp_path)


def test_a_module_wins_over_a_plain_folder_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, "service.py", "service/data.py")
    target = resolve_target("service", folder=tmp_path)
    assert (target.module, target.file) == ("service", None)


def test_a_path_may_leave_out_the_suffix(tmp_path: Path) -> None:
    write(tmp_path, "service/main.py")
    target = resolve_target("service/main:app", folder=tmp_path)
    assert (target.module, target.attribute) == ("main", "app")


def test_a_missing_file_names_what_resembles_it(tmp_path: Path) -> None:
    write(tmp_path, "main.py")
    with pytest.raises(CommandError, match=r"there is no file mian\.py") as caught:
        resolve_target("mian.py", folder=tmp_path)
    assert caught.value.advice == ("Did you mean `main.py`?",)
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CommandError, match="is not a Python file"):
        resolve_target("./notes.txt", folder=tmp_path)


def test_a_file_whose_name_cannot_be_imported_says_which_part(tmp_path: Path) -> None:
    write(tmp_path, "my-app.py")
    with pytest.raises(CommandError, match="`my-app` is not a Python name"):
        resolve_target("my-app.py", folder=tmp_path)


@pytest.mark.parametrize("given", ["main:", ":app"])
def test_a_colon_needs_both_sides(given: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="needs a module before the colon and an object after it"):
        resolve_target(given, folder=tmp_path)


def test_a_call_after_the_colon_is_refused_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        resolve_target("main:create_app()", folder=tmp_path)
    assert "--factory" in caught.value.advice[0]


@pytest.mark.parametrize("given", ["main app", "3main", "main-app:app"])
def test_what_is_neither_a_module_nor_a_file_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="neither a module nor a file"):
        resolve_target(given, folder=tmp_path)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["app.py", "main.py"], "main.py"),
        (["api.py", "app.py"], "app.py"),
        (["app/api.py", "app/main.py"], "app/main.py"),
        (["app/main.py", "api.py"], "api.py"),
    ],
)
def test_without_a_name_the_usual_files_are_tried_in_order(files: list[str], found: str, tmp_path: Path) -> None:
    write(tmp_path, *files)
    assert resolve_target(None, folder=tmp_path).file == tmp_path / found


def test_without_a_name_a_package_is_respected(tmp_path: Path) -> None:
    write(tmp_path, "app/__init__.py", "app/main.py")
    target = resolve_target(None, folder=tmp_path)
    assert (target.module, target.search_path) == ("app.main", tmp_path)


def test_without_a_name_and_a_file_the_message_says_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no application was named") as caught:
        resolve_target(None, folder=tmp_path)
    assert "[tool.tercel] entrypoint" in caught.value.advice[1]


@pytest.mark.parametrize("section", ["tercel", "fastapi"])
def test_pyproject_names_the_application(section: str, tmp_path: Path) -> None:
    write(tmp_path, "main.py")
    (tmp_path / "pyproject.toml").write_text(f'[tool.{section}]\nentrypoint = "shop.main:app"\n')
    assert resolve_target(None, folder=tmp_path).import_string == "shop.main:app"


def test_a_pyproject_without_an_entry_point_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "main.py")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert resolve_target(None, folder=tmp_path).module == "main"


@pytest.mark.parametrize("text", ["[tool.tercel]\nentrypoint = 3\n", "[tool.tercel\n"])
def test_a_broken_pyproject_is_a_clear_message(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(CommandError, match=r"pyproject\.toml"):
        resolve_target(None, folder=tmp_path)


def test_a_windows_path_keeps_its_drive(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no file"):
        resolve_target("C:/shop/main.py", folder=tmp_path)
