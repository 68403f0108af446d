"""The online part of sequence features: live events, materialization, reader and writer.

Feast is imported here, before its submodules, because `import_feast` halves the time of the import.
"""

from sequences.feast_store import import_feast

import_feast()
