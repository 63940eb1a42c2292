"""What the configuration holds for workers: the settings of their starts, and whether the files that it names for them can be used.

Workers read those files themselves, each at its start; without a look when the node starts, and when its configuration is read again, a
path that is wrong would be found only there, by all of them.
"""

from foreman.core.errors import InvalidConfiguration
from foreman.node.configuration import Configuration
from foreman.node.configuration.data_plane import listen_params
from foreman.node.launching import LaunchSettings
from foreman.workers.wire.secret import read_secret
from foreman.workers.wire.tls import server_context


def launch_settings(configuration: Configuration) -> LaunchSettings:
    """As they are now; asked at each start."""
    return LaunchSettings(configuration.disk.output_max_bytes, configuration.supervision.watchdog_s, listen_params(configuration))


def check_files(configuration: Configuration) -> None:
    """Raises InvalidConfiguration, naming the files that cannot be read or do not belong together."""
    params = listen_params(configuration)
    try:
        if "tls" in params:
            server_context(params["tls"])
        read_secret(params)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise InvalidConfiguration([f"[data_plane]: {where}{error.strerror or error}"]) from error
    except ValueError as error:
        raise InvalidConfiguration([f"[data_plane]: {error}"]) from error
