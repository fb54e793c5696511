"""What turns a problem into a result: objective, solver, stages, plan and report."""
