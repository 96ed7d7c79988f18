"""Stores: where records go beyond this machine. A folder, or a bucket of any service that speaks S3.

    objects/sha256/ab/cdef…                    a file, named by the hash of its content
    sealed/<part>/<kind>/<run id>/record.json  a record, put when all of its files are there

A key is written once, and never changed or deleted: what two machines send under one name is the same, or refused.
Only what is damaged, so that no hash or seal fits it, is put there anew by a machine that has it whole.
"""
