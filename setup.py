from setuptools import find_packages, setup

setup(
    name="costmodel",
    version="0.1.0",
    description="What a transformer costs in hardware when its attention changes: exact counts, bytes, energy",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["costmodel*", "sim*", "models*"]),
    package_data={
        "costmodel": ["technology/*.toml", "technology/*/*.toml", "hardware/targets/*.toml", "show/web/*"],
        "models": ["tasks/sentences.txt", "tasks/sst2_hashes.txt", "results.json", "students/*/*"],
    },
    install_requires=[
        "numpy>=2.0",
        "torch>=2.8",
        "transformers>=5.20,<6",
        "fvcore>=0.1.5.post20221221",
        "sympy>=1.13",
        "networkx>=3.2",
        "click>=8.1",
        "rich>=13",
        "numba>=0.61",
        "safetensors>=0.4",
        "tokenizers>=0.21",
        "plotly>=6",
        "optuna>=4",
    ],
    extras_require={
        "cluster": ["dask>=2025.1", "distributed>=2025.1"],
        "parquet": ["pyarrow>=18"],
        "notebook": ["ipykernel>=6", "ipywidgets>=8", "nbclient>=0.10", "nbformat>=5.10"],
        "dev": [
            *("pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "ruff>=0.9", "mypy>=1.14"),
            *("playwright>=1.50", "psutil>=6", "jsonschema>=4.20"),
        ],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.7", "mkdocstrings[python]>=1.0", "mkdocs-jupyter>=0.26"],
        "bench": ["calflops>=0.3.2", "accelerate>=1.0"],
    },
    entry_points={"console_scripts": ["costmodel=costmodel.cli:main"]},
)
