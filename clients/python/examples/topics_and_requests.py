"""A thermometer that publishes to a topic and answers requests, and who reads it: ``topics_and_requests.py [PORT]``."""

from __future__ import annotations

import sys
import threading

import msglib_client


def thermometer(connection: msglib_client.Connection, service: msglib_client.Service) -> None:
    """Tells everybody each new reading; who asks gets it in the unit that they want."""
    reading = 21.0
    msglib_client.publish_to_topic(connection, "home/kitchen/temperature", b"%.1f" % reading, retain=True)
    for asked in service:
        if asked.payload == b"celsius":
            asked.reply(b"%.1f" % reading)
        elif asked.payload == b"fahrenheit":
            asked.reply(b"%.1f" % (reading * 9 / 5 + 32))
        else:
            asked.refuse(0x8001, "celsius or fahrenheit?")


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7777
    with msglib_client.connect("::1", port) as kitchen, msglib_client.connect("::1", port) as hall:
        service = kitchen.serve("kitchen/thermometer", wait=True)
        threading.Thread(target=thermometer, args=(kitchen, service)).start()

        # The last value comes first, so it does not matter who was there earlier.
        reading = next(msglib_client.subscribe_to_topic(hall, "home/+/temperature"))
        print(reading.topic, reading.payload.decode())

        print(msglib_client.request(hall, "kitchen/thermometer", b"fahrenheit", timeout_seconds=5).decode())
        try:
            msglib_client.request(hall, "kitchen/thermometer", b"kelvin", timeout_seconds=5)
        except msglib_client.NoReply as error:
            print(error.text)


if __name__ == "__main__":
    main()
