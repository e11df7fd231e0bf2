"""The quality report of a store or a shard set: numbers (`contents`), words (`sections`), drawings (`figures`)."""
