#!/bin/sh
# Removes what no process of the image reads from its virtual environment, about 600 MB: reduce.sh FOLDER
# The build fails if a listed path does not exist after an upgrade of a package.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)
cd "$packages"

# Feast declares a type checker as a dependency but does not import it.
rm -r mypy mypyc mypy-*.dist-info ./*__mypyc*.so "$1"/bin/mypy* "$1"/bin/dmypy "$1"/bin/stubgen "$1"/bin/stubtest
# Headers and programs for building C++ extensions; the web UI of Feast, which no service starts.
rm -r torch/include torch/share pyarrow/include feast/ui
find . -type f \( -name '*.h' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' \) -delete
# Arrow Flight: no service reads or serves features over it. Plots of MLflow, which nothing draws; libraries look for
# matplotlib, by its metadata too, before they use it.
rm -r pyarrow/libarrow_flight.so* pyarrow/libarrow_python_flight.so* pyarrow/_flight*.so
rm -r matplotlib mpl_toolkits fontTools contourpy kiwisolver
rm -r matplotlib-*.dist-info fonttools-*.dist-info contourpy-*.dist-info kiwisolver-*.dist-info
find torch/bin -type f ! -name torch_shm_manager -delete
# Languages of number formats: the processes run in the C locale.
find babel/locale-data -type f ! -name 'en*' ! -name root.dat -delete
# Tests of libraries. dbt has a macro folder of this name, so only these packages are searched.
for package in dask ibis libcst networkx numba numpy pandas pyarrow scipy sklearn sympy torch_geometric; do
    find "$package" -depth -type d -name tests -exec rm -r {} +
done
# Bytecode: compile_imports.py writes that of the modules that are imported.
find . -depth -type d -name __pycache__ -exec rm -r {} +
# Symbol tables. Libraries in folders *.libs were changed after linking and do not load when stripped.
for package in PIL _polars_runtime_32 aiohttp asyncpg av cryptography llvmlite msgpack numba pyarrow scipy sklearn sqlalchemy tantivy \
    torch uvloop yaml; do
    find "$package" -type f -name '*.so*' -exec strip --strip-unneeded {} +
done
