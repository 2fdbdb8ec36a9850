"""What is said when the library that an integration needs is not installed."""

from graddiag.errors import MissingLibraryError


def missing(integration: str, error: ImportError) -> MissingLibraryError:
    """The error for an integration whose library could not be imported; ``integration`` is its extra of graddiag."""
    return MissingLibraryError(
        f"graddiag.integrations.{integration} needs a library that could not be imported ({error}). "
        f"Install it with `pip install 'graddiag[{integration}]'`."
    )
