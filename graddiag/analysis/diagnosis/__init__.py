"""Did it learn, what is the cause, what to do first."""
