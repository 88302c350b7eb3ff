"""The KCL for Python: its MultiLangDaemon in Java reads the shards, and has a Python process for each over pipes.

``kcl.py URL kinesis SHARDS BATCH handle``. The daemon is the one of amazon_kclpy 3.1.3, started as that package starts
it; each page goes to ``kcl/processor.py``.

It gets what is best for it here: it polls as often as the KCL permits, which is each 200 ms, takes pages of any size,
has no metrics and no log, and deals its leases out soon. They are in moto, which is in a session of its own and
not its cost. Its records come as JSON and not as CBOR, as those of the others do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from poller.dev.endpoint import embedded_endpoint
from tests.benchmarks.kcl.jars import jars

DAEMON = "software.amazon.kinesis.multilang.MultiLangDaemon"
PROPERTIES = """
executableName = {python} tests/benchmarks/kcl/processor.py
processingLanguage = python
streamName = orders
applicationName = bench
AwsCredentialsProvider = DefaultCredentialsProvider
regionName = us-east-1
kinesisEndpoint = {kinesis}
dynamoDBEndpoint = {dynamodb}
initialPositionInStream = TRIM_HORIZON
retrievalMode = POLLING
maxRecords = 10000
idleTimeBetweenReadsInMillis = 200
metricsLevel = NONE
shardSyncIntervalMillis = 1000
leaseAssignmentIntervalMillis = 1000
"""
LOG = """
<configuration>
  <appender name="here" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5level %logger - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="here"/></root>
</configuration>
"""


async def main(url, kind, shards, batch, target):
    assert (kind, target) == ("kinesis", "handle")
    starter, python = os.getppid(), Path(sys.executable)
    command = ["java", "-Daws.cborEnabled=false", "-cp", f"{jars()}/*", DAEMON]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"  # the daemon splits its command at spaces, quoted or not
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_endpoint() as leases:
            properties, log = Path(folder) / "kcl.properties", Path(folder) / "logback.xml"
            properties.write_text(PROPERTIES.format(python=python.name, kinesis=url, dynamodb=leases))
            log.write_text(LOG)
            command += ["--properties-file", str(properties), "--log-configuration", str(log)]
            java = await asyncio.create_subprocess_exec(*command, env={**os.environ, "PATH": path})
            try:
                while java.returncode is None and os.getppid() == starter:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(java.wait(), 1)
            finally:
                if java.returncode is None:
                    java.kill()
                await java.wait()
    raise SystemExit(f"the daemon ended with {java.returncode}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
