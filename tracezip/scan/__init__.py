"""The query core: archives are asked for spans without making their messages."""
