"""What is to run: checking a configuration, what each job may know of it, plans, changes and costs.

In: the merged configuration. Out: settings of jobs, complaints, plans. It may import the stages as far as they say
what can be configured; no stage imports it, since each job is given its settings.
"""
