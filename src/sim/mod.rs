//! An Aerospike server in the process (stub).
