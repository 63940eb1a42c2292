"""The cluster's front desk: what an operator or a program sees of the whole cluster, and asks of it. Nothing here commands a node."""
