-- Listed before exposures are read: a file that arrives later is new to the next build, even if this one reads it.
select {{ landed_file("file") }} as landed_file
from {{ list_landed_files("exposures") }}
