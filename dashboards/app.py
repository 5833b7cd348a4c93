from sigmascope.dashboards.main import main

main()
