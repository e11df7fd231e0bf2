"""The command lines `eegprep` and `eegpt`: one file per command group, heavy imports inside the commands."""
