"""A worker that polls Kinesis and DynamoDB streams and invokes functions in order: this file is the plan of the house.

Floors; a module imports only from floors below it (``tests/test_house.py`` checks it)::

    floor 3   doors      cli.py  app.py  opening.py  config*.py  status.py          the only ones that know everybody
                         mappings_status.py  filter_test.py  api/  dev/
    floor 2   engine     worker > supervisor > shard > lanes > lane > delivery      time and tasks; talks to plugs only
              adapters   sources/ targets/ destinations/ stores/ observers/         the world; never imports the engine
                         aws.py  aws_errors.py  repeating.py  signing.py
                         connections.py  http_line.py  http_answer.py
                         http_errors.py
                         identity.py  keepalive.py  malloc.py  garbage.py  clock.py
                         daemon_thread.py
    floor 1   rules/     pure decisions        ports.py                             the plugs
    floor 0   words      model.py  records.py  invocation.py  arns.py               frozen values
                         mapping.py  events.py  errors.py

The way of a record: ``engine/reading.py`` (a page), ``engine/lanes.py`` (its lane), ``engine/lane.py`` (a batch),
``engine/delivery.py`` (the function), ``engine/checkpointing.py`` (done). Its bytes are those of the stream's answer:
``sources/*_pass_through.py`` take them over, and whatever is unusual goes by the SDK.

Reading order for a newcomer: ``model.py``, ``records.py``, ``invocation.py``, ``ports.py``, ``engine/shard.py``,
``engine/delivery.py``, ``rules/failure.py``, ``rules/ordering.py``, ``engine/supervisor.py``, ``rules/lineage.py``,
``rules/leasing.py``, one source, one store, ``opening.py``, ``app.py``.
"""

__version__ = "0.1.0"
