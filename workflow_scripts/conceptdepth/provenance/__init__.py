"""Where a result comes from: records of jobs, digests of code, audits of both.

In: the files that a job reads and writes, and the code behind it. Out: one record a job, verdicts of audits.
May import: ground.
"""
