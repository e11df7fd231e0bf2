"""The quality report of a store or a shard set: numbers (`contents`), text (`sections`), drawings (`figures`)."""
