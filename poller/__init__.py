"""A worker that polls Kinesis and DynamoDB streams and invokes functions in order: this file is the plan of the house.

Floors; a module imports only from floors below it (``tests/test_house.py`` checks it)::

    floor 3   doors      app.py  config*.py  cli.py  status.py  api/  dev/   the only ones that know everybody
    floor 2   engine     worker > supervisor > shard > delivery              time and tasks; talks to plugs only
              adapters   sources/ targets/ destinations/ stores/ observers/  the world; never imports the engine
                         aws.py  identity.py  clock.py
    floor 1   rules/     pure decisions        ports.py                      the plugs
    floor 0   words      model.py  mapping.py  events.py  errors.py          frozen values

Reading order for a newcomer: ``model.py``, ``ports.py``, ``engine/shard.py``, ``engine/delivery.py``,
``rules/failure.py``, ``engine/supervisor.py``, ``rules/lineage.py``, ``rules/leasing.py``, one source, one
store, ``app.py``.
"""

__version__ = "0.1.0"
