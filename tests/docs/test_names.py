"""The names on the pages exist: links, files, modules, imports, commands, options and recipe fields."""

import argparse
import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from hf_vanilla_transformer import VanillaDecoderConfig, VanillaEncoderConfig, VanillaTransformerConfig
from hf_vanilla_transformer.commands.main import COMMANDS
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.recipes.reading import fields_of
from hf_vanilla_transformer.training.recipes.training_recipe import Recipe

ROOT = Path(__file__).parents[2]
PACKAGE = "hf_vanilla_transformer"
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")])
CONFIGURATIONS = (VanillaTransformerConfig, VanillaEncoderConfig, VanillaDecoderConfig)
# Folders whose files the pages name by their path from the root.
FOLDERS = (PACKAGE, "benchmarks", "docs", "model_cards", "scripts", "tests")
# `model.safetensors` is a file, `model.start_from` a field.
FILE_ENDINGS = ("bin", "gguf", "json", "jsonl", "md", "onnx", "png", "pt", "py", "safetensors", "txt", "yaml")


@cache
def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.S | re.M)


def inline_code(page: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", read(page), flags=re.S | re.M)
    return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose)]


def all_code(page: str) -> str:
    """Inline code and code blocks, one piece per line, without line continuations."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", read(page), re.S | re.M)
    return "\n".join([*inline_code(page), *blocks]).replace("\\\n", " ")


@cache
def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"^```.*?^```", "", read(page), flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def fields() -> frozenset[str]:
    names = {name for kind in (Recipe, FinetuneRecipe) for name, _ in fields_of(kind)}
    for configuration in CONFIGURATIONS:
        names |= {f"model.config.{entry.name}" for entry in dataclasses.fields(configuration)}
    return frozenset(names)


@cache
def options(command: str) -> frozenset[str]:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"{PACKAGE}.commands.{command}").add_arguments(parser)
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", parser.format_help()))


def module_exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    for code in inline_code(page):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", code):
            assert (ROOT / code).exists(), code


@pytest.mark.parametrize("page", PAGES)
def test_modules_exist(page):
    ours = f"({PACKAGE}|benchmarks|tests)"
    for name in re.findall(rf"(?<=\s)-m ({ours}[\w.]*)", all_code(page)):
        assert module_exists(name[0]), name[0]
    for code in inline_code(page):
        if re.fullmatch(rf"{PACKAGE}(\.\w+)+", code):
            module, _, name = code.rpartition(".")
            assert module_exists(code) or hasattr(importlib.import_module(module), name), code


@pytest.mark.parametrize("page", PAGES)
def test_imports_work(page):
    for block in code_blocks(page, "python"):
        for statement in ast.walk(ast.parse(block)):
            if isinstance(statement, ast.ImportFrom) and statement.module.split(".")[0] == PACKAGE:
                module = importlib.import_module(statement.module)
                for alias in statement.names:
                    assert hasattr(module, alias.name), f"{statement.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES)
def test_keyword_arguments_exist(page):
    for block in code_blocks(page, "python"):
        statements = list(ast.walk(ast.parse(block)))
        imported = {
            alias.asname or alias.name: getattr(importlib.import_module(statement.module), alias.name)
            for statement in statements
            if isinstance(statement, ast.ImportFrom) and statement.module.split(".")[0] == PACKAGE
            for alias in statement.names
        }
        for call in statements:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in imported:
                parameters = inspect.signature(imported[call.func.id]).parameters
                if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
                    assert {keyword.arg for keyword in call.keywords} <= parameters.keys(), call.func.id


@pytest.mark.parametrize("page", PAGES)
def test_recipe_fields_exist(page):
    sections = "|".join(sorted({name.split(".")[0] for name in fields() if "." in name}))
    named = set(re.findall(rf"--(?:set )?((?:{sections})\.[\w.]*\w)", all_code(page)))
    for code in inline_code(page):
        match = re.fullmatch(rf"((?:{sections})(?:\.[a-z]\w*)+)([:=].*| .*)?", code)
        if match and match[1].rpartition(".")[2] not in FILE_ENDINGS:
            named.add(match[1])
    prefixes = {name.rpartition(".")[0] for name in fields()} | {"model.config"}
    assert named <= fields() | prefixes, named - fields() - prefixes


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page):
    for line in re.findall(r"hf-vanilla ([a-z][^\n|]*)", all_code(page)):
        command, *words = line.split("  ")[0].split("#")[0].split()
        assert command in COMMANDS, line
        for word in words:
            if re.fullmatch(r"--[a-z][a-z-]*", word) and word != "--help":
                assert word in options(command), f"{command} {word}"


def test_the_api_page_lists_names_that_exist():
    rows = re.findall(rf"^\| `({PACKAGE}[\w.]*)` \| (.+) \|$", read("docs/api.md"), re.M)
    assert len(rows) > 5
    for module_name, cell in rows:
        module, first = importlib.import_module(module_name), ""
        for name in re.findall(r"`([^`]+)`", cell):
            if name.startswith("."):
                module = importlib.import_module(module_name + name)
                continue
            if name.startswith("…"):
                # `VanillaEncoderModel`, `…ForMaskedLM`: the same stack with another head
                name = first.removesuffix("Model") + name.removeprefix("…")
            else:
                first = name
            assert hasattr(module, name), f"{module.__name__}.{name}"
