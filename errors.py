"""Every error Sigmascope raises on purpose.

    SigmascopeError
    ├── ConfigError          a suite, policy, option or name that can't be right      exit code 2
    ├── LoadError            a model, weights or reference file that can't be used    exit code 2
    ├── ModelError           a network that broke its contract while running          exit code 3
    ├── DataError            images or labels that don't fit the job                  exit code 2
    ├── StoreError           a run directory that can't be read or written            exit code 3
    └── IncomparableError    two results whose protocols differ                       exit code 5

Each message says what was expected and what came. Anything else that escapes is a defect, and exits with 3 as well:
exit code 1 is kept for a regression.
"""


class SigmascopeError(Exception):
    """Base of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 3


class ConfigError(SigmascopeError, ValueError):
    exit_code = 2


class LoadError(SigmascopeError):
    exit_code = 2


class ModelError(SigmascopeError):
    exit_code = 3


class DataError(SigmascopeError):
    exit_code = 2


class StoreError(SigmascopeError):
    exit_code = 3


class IncomparableError(SigmascopeError):
    exit_code = 5
